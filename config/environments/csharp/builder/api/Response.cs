using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Muon
{
    /// <summary>What a function answers: a status, header fields, and a body, whole or in pieces.</summary>
    public sealed class Response
    {
        readonly List<KeyValuePair<string, string>> headers = new List<KeyValuePair<string, string>>();

        Response(byte[] whole, Action<Stream> pieces, string type)
        {
            Whole = whole;
            Pieces = pieces;
            With("Content-Type", type);
        }

        public int Status { get; private set; } = 200;

        public IReadOnlyList<KeyValuePair<string, string>> Headers => headers;

        /// <summary>The body, or null where it comes in pieces.</summary>
        public byte[] Whole { get; }

        /// <summary>What writes the body, or null where it is there already.</summary>
        public Action<Stream> Pieces { get; }

        public static Response Of(int status, string text)
        {
            return new Response(Encoding.UTF8.GetBytes(text), null, "text/plain; charset=utf-8").WithStatus(status);
        }

        public static Response Of(int status, byte[] bytes)
        {
            return new Response(bytes, null, "application/octet-stream").WithStatus(status);
        }

        public static Response Json(string text)
        {
            return new Response(Encoding.UTF8.GetBytes(text), null, "application/json");
        }

        /// <summary>A body written piece by piece; each flush reaches the caller.</summary>
        public static Response Stream(Action<Stream> pieces)
        {
            return new Response(null, pieces, "application/octet-stream");
        }

        public static Response Stream(Stream source)
        {
            return Stream(target =>
            {
                using (source)
                {
                    var buffer = new byte[8192];
                    for (var count = source.Read(buffer, 0, buffer.Length); count > 0; count = source.Read(buffer, 0, buffer.Length))
                    {
                        target.Write(buffer, 0, count);
                        target.Flush();
                    }
                }
            });
        }

        public Response WithStatus(int status)
        {
            Status = status;
            return this;
        }

        /// <summary>Sets a header field; Set-Cookie may stand more than once.</summary>
        public Response With(string name, string value)
        {
            if (!name.Equals("Set-Cookie", StringComparison.OrdinalIgnoreCase))
            {
                headers.RemoveAll(header => header.Key.Equals(name, StringComparison.OrdinalIgnoreCase));
            }
            headers.Add(new KeyValuePair<string, string>(name, value));
            return this;
        }
    }
}
