//! Getting into a registry: it says how when it is first asked, and a token serves for the rest.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use crate::fetch::guard::{body, unexpected};
use crate::fetch::{FetchError, Session};

/// A token and what surrounds it.
const MAX_TOKEN: u64 = 64 << 10;

/// A name and a password for one registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Host and port of the registry.
    pub registry: String,
    username: String,
    password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}, [redacted])", self.registry)
    }
}

/// The logins in a Secret of type `kubernetes.io/dockerconfigjson`.
pub fn logins(config: &[u8]) -> Option<Vec<Login>> {
    #[derive(Deserialize)]
    struct Config {
        auths: BTreeMap<String, Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        auth: String,
        #[serde(default)]
        username: String,
        #[serde(default)]
        password: String,
    }
    let config: Config = serde_json::from_slice(config).ok()?;
    let logins = config.auths.into_iter().map(|(registry, entry)| {
        let both = STANDARD.decode(entry.auth.trim()).ok().and_then(|both| String::from_utf8(both).ok());
        let (username, password) = match both.as_deref().and_then(|both| both.split_once(':')) {
            Some((username, password)) => (username.to_owned(), password.to_owned()),
            None => (entry.username, entry.password),
        };
        // Some write a URL there.
        let registry = registry.trim_start_matches("https://").trim_start_matches("http://");
        let registry = registry.split('/').next().unwrap_or_default().to_owned();
        Login { registry, username, password }
    });
    Some(logins.filter(|login| !login.username.is_empty()).collect())
}

/// How a registry is asked.
pub(super) struct Access<'a> {
    session: &'a Session,
    scope: String,
    login: Option<&'a Login>,
    authorization: Option<HeaderValue>,
}

impl<'a> Access<'a> {
    pub(super) fn new(session: &'a Session, name: &str, login: Option<&'a Login>) -> Self {
        Self { session, scope: format!("repository:{name}:pull"), login, authorization: None }
    }

    /// Asks; where the registry wants to know who, once more with an answer to that.
    pub(super) async fn ask(
        &mut self,
        url: &Url,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, FetchError> {
        let reply = self.session.send(url, self.signed(request())).await?;
        let status = reply.status();
        if status == StatusCode::OK {
            return Ok(reply);
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        if status != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return Err(match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.refused(host),
                _ => unexpected(reply).await,
            });
        }
        let challenge = reply.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.authorization = Some(self.answer(url, challenge).await?);
        let reply = self.session.send(url, self.signed(request())).await?;
        match reply.status() {
            StatusCode::OK => Ok(reply),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.refused(host)),
            _ => Err(unexpected(reply).await),
        }
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    fn refused(&self, host: String) -> FetchError {
        let message = match self.login {
            Some(_) => "the pull secret's login is not taken for this repository",
            None => "it wants a login: name a pull secret that has one for this registry",
        };
        FetchError::Credentials { host, message: message.to_owned() }
    }

    /// What the registry's challenge asks for.
    async fn answer(&self, url: &Url, challenge: &str) -> Result<HeaderValue, FetchError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return self.login.map(basic).ok_or_else(|| self.refused(host));
        }
        let parameters = parameters(rest);
        let realm = parameters.get("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        let Some(realm) = realm else {
            let message = format!("it asks for authentication in a way that is not known here: {scheme}");
            return Err(FetchError::Credentials { host, message });
        };
        // Where tokens are given out is for the registry to say; whether it is asked, for the guard.
        let mut realm = self.session.rules().url(realm)?;
        if url.scheme() == "https" && realm.scheme() != "https" {
            let message = "it sends us for a token to where anybody could read the login".to_owned();
            return Err(FetchError::Credentials { host, message });
        }
        if let Some(service) = parameters.get("service") {
            realm.query_pairs_mut().append_pair("service", service);
        }
        realm.query_pairs_mut().append_pair("scope", &self.scope);
        let request = self.session.get(&realm);
        let request = match self.login {
            Some(login) => request.header(AUTHORIZATION, basic(login)),
            None => request,
        };
        let reply = self.session.send(&realm, request).await?;
        match reply.status() {
            StatusCode::OK => token(&body(reply, MAX_TOKEN).await?).ok_or_else(|| {
                let message = "what it gave is no token".to_owned();
                FetchError::Credentials { host, message }
            }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.refused(host)),
            _ => Err(unexpected(reply).await),
        }
    }
}

fn basic(login: &Login) -> HeaderValue {
    let both = STANDARD.encode(format!("{}:{}", login.username, login.password));
    sensitive(&format!("Basic {both}")).unwrap_or_else(|| HeaderValue::from_static(""))
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The token in an answer, which has it under one of two names.
fn token(body: &[u8]) -> Option<HeaderValue> {
    let given: BTreeMap<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    let token = given.get("token").or_else(|| given.get("access_token"))?.as_str()?;
    sensitive(&format!("Bearer {token}"))
}

/// `name="value",…`, as challenges have them.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name.trim().to_ascii_lowercase(), value.to_owned());
        rest = after.trim_start_matches([',', ' ']);
    }
    found
}
