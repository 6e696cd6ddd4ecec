package main

import (
	"fmt"
	"net/http"
	"reflect"
	"sort"
	"strings"
)

const forms = "func(http.ResponseWriter, *http.Request), the same returning an error, an http.Handler, " +
	"or a func() that returns an http.Handler (and an error)"

// find makes the handler that an entrypoint means. Without a name it is `Handle`, or the only one there is.
func find(entrypoint string) (handler http.Handler, reason string, err error) {
	defer func() {
		if value := recover(); value != nil {
			handler, reason, err = nil, "ImportFailed", fmt.Errorf("%s panicked: %v\n%s", entrypoint, value, userStack())
		}
	}()
	name := entrypoint
	if name == "" {
		name = "Handle"
		if len(exported) == 1 {
			for only := range exported {
				name = only
			}
		}
	}
	value, found := exported[name]
	if !found {
		return nil, "EntrypointNotFound", fmt.Errorf("the package exports no %s; it exports: %s", name, strings.Join(names(), ", "))
	}
	switch value := value.(type) {
	case func(http.ResponseWriter, *http.Request):
		return http.HandlerFunc(value), "", nil
	case func(http.ResponseWriter, *http.Request) error:
		return failing(value), "", nil
	case func() http.Handler:
		return value(), "", nil
	case func() (http.Handler, error):
		handler, err := value()
		return handler, "ImportFailed", err
	}
	// A variable is there by its address.
	if pointer := reflect.ValueOf(value); pointer.Kind() == reflect.Ptr && !pointer.IsNil() {
		switch value := pointer.Elem().Interface().(type) {
		case http.Handler:
			return value, "", nil
		case func(http.ResponseWriter, *http.Request):
			return http.HandlerFunc(value), "", nil
		}
		if handler, ok := value.(http.Handler); ok {
			return handler, "", nil
		}
	}
	return nil, "EntrypointInvalid", fmt.Errorf("%s is a %s; a handler is %s", name, strings.TrimPrefix(fmt.Sprintf("%T", value), "*"), forms)
}

func names() []string {
	var all []string
	for name := range exported {
		all = append(all, name)
	}
	sort.Strings(all)
	if len(all) > 20 {
		all = append(all[:20], "…")
	}
	return all
}

// failing is a handler that may return an error: it is logged, and answered for where nothing was sent yet.
type failing func(http.ResponseWriter, *http.Request) error

func (f failing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		failed(w.(*answer), r, "the handler returned an error", err, "")
	}
}
