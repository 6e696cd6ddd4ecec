using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;

namespace Muon.Runtime
{
    /// <summary>HTTP/1.1 on one connection: a head is read, and an answer written.</summary>
    sealed class Connection
    {
        const int Head = 64 << 10;
        /// <summary>What a function left of its request's body is read up to this, so that the caller gets to see the answer.</summary>
        const int Left = 256 << 10;
        /// <summary>And for so many milliseconds at most.</summary>
        const int Patience = 1000;

        /// <summary>The server frames the message: a function's own idea of that would only contradict it.</summary>
        static readonly HashSet<string> Framing = new HashSet<string>(StringComparer.OrdinalIgnoreCase)
        {
            "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade",
        };

        readonly Socket socket;
        readonly Input input;
        bool keep;

        public Connection(Socket socket)
        {
            this.socket = socket;
            input = new Input(socket);
        }

        public bool WaitForNext()
        {
            return input.Wait();
        }

        /// <summary>Reads a request's head; null when it was refused.</summary>
        public Asked Read()
        {
            try
            {
                var room = Head;
                var words = input.Line(ref room).Split(' ');
                var fields = new Dictionary<string, List<string>>(StringComparer.OrdinalIgnoreCase);
                for (var line = input.Line(ref room); line.Length > 0; line = input.Line(ref room))
                {
                    var colon = line.IndexOf(':');
                    if (colon < 1)
                    {
                        throw new InvalidDataException("a header field has no name");
                    }
                    var name = line.Substring(0, colon);
                    if (!fields.TryGetValue(name, out var values))
                    {
                        fields[name] = values = new List<string>();
                    }
                    values.Add(line.Substring(colon + 1).Trim());
                }
                if (words.Length != 3 || !words[2].StartsWith("HTTP/1.", StringComparison.Ordinal))
                {
                    throw new InvalidDataException("the first line is no request");
                }
                var closes = (First(fields, "Connection") ?? "").ToLowerInvariant().Contains("close");
                keep = words[2] == "HTTP/1.1" && !closes;
                var expects = string.Equals(First(fields, "Expect"), "100-continue", StringComparison.OrdinalIgnoreCase);
                Action asked = () => OutgoingBody.Send(socket, Encoding.ASCII.GetBytes("HTTP/1.1 100 Continue\r\n\r\n"));
                var length = Length(First(fields, "Transfer-Encoding"), First(fields, "Content-Length"));
                var body = new IncomingBody(input, length, Head, expects ? asked : null);
                var headers = fields.ToDictionary(
                    field => field.Key, field => (IReadOnlyList<string>)field.Value, StringComparer.OrdinalIgnoreCase);
                return new Asked(words[0], words[1], headers, body);
            }
            catch (InvalidDataException)
            {
                var refusal = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                OutgoingBody.Send(socket, Encoding.ASCII.GetBytes(refusal));
                return null;
            }
        }

        static string First(Dictionary<string, List<string>> fields, string name)
        {
            return fields.TryGetValue(name, out var values) ? values[0] : null;
        }

        static long Length(string coding, string length)
        {
            if (coding == null && length == null)
            {
                return 0;
            }
            if (length == null && coding.Equals("chunked", StringComparison.OrdinalIgnoreCase))
            {
                return -1;
            }
            if (coding == null && length.All(char.IsDigit) && long.TryParse(length, out var count))
            {
                return count;
            }
            // Both, or a coding that nobody knows: where the body ends would be a matter of opinion.
            throw new InvalidDataException("the body's length is not told");
        }

        /// <summary>Sends the answer; whether the connection is ready for another request. `failed` is told what a stream threw.</summary>
        public bool Answer(Asked request, Response response, Action<Exception> failed)
        {
            var isHead = request.Method == "HEAD";
            var empty = isHead || response.Status == 204 || response.Status == 304;
            // What is not read by now stays unread, unless the answer's pieces read it.
            keep &= request.Incoming.IsRead || response.Pieces != null;
            var head = new StringBuilder("HTTP/1.1 ").Append(response.Status).Append(" \r\n");
            foreach (var header in response.Headers.Where(IsPlain))
            {
                keep &= !(header.Key.Equals("Connection", StringComparison.OrdinalIgnoreCase) && header.Value == "close");
                head.Append(Framing.Contains(header.Key) ? "" : $"{header.Key}: {header.Value}\r\n");
            }
            head.Append(keep ? "" : "Connection: close\r\n");
            if (response.Pieces == null)
            {
                head.Append(response.Status == 204 ? "" : $"Content-Length: {response.Whole.Length}\r\n").Append("\r\n");
                var bytes = Encoding.UTF8.GetBytes(head.ToString());
                OutgoingBody.Send(socket, empty ? bytes : bytes.Concat(response.Whole).ToArray());
            }
            else if (empty)
            {
                OutgoingBody.Send(socket, Encoding.UTF8.GetBytes(head.Append("\r\n").ToString()));
            }
            else
            {
                OutgoingBody.Send(socket, Encoding.UTF8.GetBytes(head.Append("Transfer-Encoding: chunked\r\n\r\n").ToString()));
                if (!Stream(response.Pieces, failed))
                {
                    return false;
                }
            }
            if (!request.Incoming.IsRead)
            {
                DrainBeforeClosing(request.Incoming);
                return false;
            }
            return keep;
        }

        static bool IsPlain(KeyValuePair<string, string> header)
        {
            return (header.Key + header.Value).IndexOfAny(new[] { '\r', '\n' }) < 0;
        }

        /// <summary>False after an error: the status has left, and only a cut can say that the rest does not come.</summary>
        bool Stream(Action<Stream> pieces, Action<Exception> failed)
        {
            var body = new OutgoingBody(socket);
            try
            {
                pieces(body);
                body.End();
                return true;
            }
            catch (Exception thrown)
            {
                failed(thrown);
                return false;
            }
        }

        /// <summary>A connection that is closed with bytes unread may lose the answer on its way.</summary>
        void DrainBeforeClosing(Stream rest)
        {
            socket.Shutdown(SocketShutdown.Send);
            socket.ReceiveTimeout = Patience;
            var buffer = new byte[8192];
            for (int total = 0, count = 1; count > 0 && total < Left; total += count)
            {
                count = rest.Read(buffer, 0, buffer.Length);
            }
        }
    }
}
