using System;
using System.IO;
using System.Net.Sockets;
using System.Text;

namespace Muon.Runtime
{
    /// <summary>The connection is no more: nobody's error but the caller's.</summary>
    sealed class ConnectionBroken : IOException
    {
        public ConnectionBroken(string message)
            : base(message)
        {
        }
    }

    /// <summary>What arrives on a connection: lines of heads, and the bytes between them.</summary>
    sealed class Input
    {
        readonly Socket socket;
        readonly byte[] buffer = new byte[16 << 10];
        int from;
        int to;

        public Input(Socket socket)
        {
            this.socket = socket;
        }

        /// <summary>Waits for at least one byte; false when the caller has closed the connection.</summary>
        public bool Wait()
        {
            if (from < to)
            {
                return true;
            }
            try
            {
                from = 0;
                to = socket.Receive(buffer);
                return to > 0;
            }
            catch (Exception error) when (error is SocketException || error is ObjectDisposedException)
            {
                throw new ConnectionBroken(error.Message);
            }
        }

        /// <summary>A line without its end; `left` is how much the head may still have.</summary>
        public string Line(ref int left)
        {
            var line = new MemoryStream();
            while (true)
            {
                if (!Wait())
                {
                    throw new ConnectionBroken("the head is cut off");
                }
                var end = Array.IndexOf(buffer, (byte)'\n', from, to - from);
                var count = (end < 0 ? to : end + 1) - from;
                left -= count;
                if (left < 0)
                {
                    throw new InvalidDataException("the head is too long");
                }
                line.Write(buffer, from, count);
                from += count;
                if (end >= 0)
                {
                    return Encoding.UTF8.GetString(line.GetBuffer(), 0, (int)line.Length).TrimEnd('\n').TrimEnd('\r');
                }
            }
        }

        /// <summary>At most `count` bytes; there is at least one.</summary>
        public int Read(byte[] target, int offset, int count)
        {
            if (!Wait())
            {
                throw new ConnectionBroken("the caller went away while its request was read");
            }
            var taken = Math.Min(count, to - from);
            Buffer.BlockCopy(buffer, from, target, offset, taken);
            from += taken;
            return taken;
        }
    }
}
