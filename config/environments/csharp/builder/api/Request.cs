using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Muon
{
    /// <summary>What a function is asked.</summary>
    public abstract class Request
    {
        public abstract string Method { get; }

        /// <summary>The path, percent-decoded.</summary>
        public abstract string Path { get; }

        /// <summary>Parameters of the route's path pattern, by name in lower case.</summary>
        public abstract IReadOnlyDictionary<string, string> Params { get; }

        /// <summary>The query string's values, by name, in their order.</summary>
        public abstract IReadOnlyDictionary<string, IReadOnlyList<string>> Query { get; }

        /// <summary>The header fields, by name in any case, in their order.</summary>
        public abstract IReadOnlyDictionary<string, IReadOnlyList<string>> Headers { get; }

        public abstract string RequestId { get; }

        /// <summary>The body as it arrives.</summary>
        public abstract Stream Body { get; }

        /// <summary>A parameter of the path pattern, or null.</summary>
        public string Param(string name)
        {
            return Params.TryGetValue(name.ToLowerInvariant(), out var value) ? value : null;
        }

        /// <summary>The first value of this name in the query string, or null.</summary>
        public string QueryValue(string name)
        {
            return Query.TryGetValue(name, out var values) ? values[0] : null;
        }

        /// <summary>The first header field of this name, or null.</summary>
        public string Header(string name)
        {
            return Headers.TryGetValue(name, out var values) ? values[0] : null;
        }

        /// <summary>The whole body as text.</summary>
        public string Text()
        {
            return new StreamReader(Body, new UTF8Encoding(false)).ReadToEnd();
        }
    }
}
