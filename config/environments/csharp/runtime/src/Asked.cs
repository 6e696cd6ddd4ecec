using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Muon.Runtime
{
    /// <summary>A request as it was read from a connection.</summary>
    sealed class Asked : Request
    {
        const string Parameter = "muon-path-param-";

        readonly Dictionary<string, IReadOnlyList<string>> headers;
        readonly string rawQuery;
        IReadOnlyDictionary<string, IReadOnlyList<string>> query;
        IReadOnlyDictionary<string, string> parameters;

        public Asked(string method, string target, Dictionary<string, IReadOnlyList<string>> headers, IncomingBody body)
        {
            var mark = target.IndexOf('?');
            RawPath = mark < 0 ? target : target.Substring(0, mark);
            rawQuery = mark < 0 ? "" : target.Substring(mark + 1);
            Method = method;
            this.headers = headers;
            Incoming = body;
            GivenId = Header("X-Request-Id");
            RequestId = GivenId ?? Guid.NewGuid().ToString();
        }

        public string RawPath { get; }

        /// <summary>The id that the caller gave, or null.</summary>
        public string GivenId { get; }

        public IncomingBody Incoming { get; }

        public override string Method { get; }

        public override string Path => Uri.UnescapeDataString(RawPath);

        public override string RequestId { get; }

        public override Stream Body => Incoming;

        public override IReadOnlyDictionary<string, IReadOnlyList<string>> Headers => headers;

        public override IReadOnlyDictionary<string, string> Params =>
            parameters ?? (parameters = headers
                .Where(header => header.Key.StartsWith(Parameter, StringComparison.OrdinalIgnoreCase))
                .ToDictionary(
                    header => header.Key.Substring(Parameter.Length).ToLowerInvariant(),
                    header => Uri.UnescapeDataString(header.Value[0])));

        public override IReadOnlyDictionary<string, IReadOnlyList<string>> Query =>
            query ?? (query = rawQuery.Split('&').Where(pair => pair.Length > 0)
                .Select(pair => pair.Split(new[] { '=' }, 2))
                .GroupBy(pair => Decoded(pair[0]), pair => pair.Length < 2 ? "" : Decoded(pair[1]))
                .ToDictionary(group => group.Key, group => (IReadOnlyList<string>)group.ToList()));

        static string Decoded(string text)
        {
            return Uri.UnescapeDataString(text.Replace('+', ' '));
        }
    }
}
