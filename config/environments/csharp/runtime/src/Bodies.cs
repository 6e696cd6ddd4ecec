using System;
using System.Globalization;
using System.IO;
using System.Net.Sockets;
using System.Text;

namespace Muon.Runtime
{
    /// <summary>A request's body as it arrives.</summary>
    sealed class IncomingBody : OneWay
    {
        readonly Input input;
        readonly bool chunked;
        readonly int headLimit;
        Action asked;
        long left;
        bool begun;

        /// <summary>`length` is -1 where the body comes in chunks; `asked` is called when it is wanted for the first time.</summary>
        public IncomingBody(Input input, long length, int headLimit, Action asked)
        {
            this.input = input;
            this.headLimit = headLimit;
            this.asked = asked;
            chunked = length < 0;
            left = Math.Max(length, 0);
            IsRead = length == 0;
        }

        /// <summary>Whether it has been read to its end.</summary>
        public bool IsRead { get; private set; }

        public override bool CanRead => true;

        public override int Read(byte[] buffer, int offset, int count)
        {
            asked?.Invoke();
            asked = null;
            if (!IsRead && chunked && left == 0)
            {
                NextChunk();
            }
            if (IsRead || count == 0)
            {
                return 0;
            }
            var taken = input.Read(buffer, offset, (int)Math.Min(count, left));
            left -= taken;
            IsRead = !chunked && left == 0;
            return taken;
        }

        void NextChunk()
        {
            var room = headLimit;
            if (begun)
            {
                input.Line(ref room); // the end of the chunk before
            }
            begun = true;
            var digits = input.Line(ref room).Split(';')[0].Trim();
            if (!long.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out left) || left < 0)
            {
                throw new ConnectionBroken("the body is not what its head says");
            }
            if (left == 0)
            {
                while (input.Line(ref room).Length > 0)
                {
                }
                IsRead = true;
            }
        }
    }

    /// <summary>An answer's body in pieces: each flush, and each 16 KiB, is one.</summary>
    sealed class OutgoingBody : OneWay
    {
        const int Most = 16 << 10;

        readonly Socket socket;
        readonly MemoryStream piece = new MemoryStream();

        public OutgoingBody(Socket socket)
        {
            this.socket = socket;
        }

        public override bool CanWrite => true;

        public override void Write(byte[] buffer, int offset, int count)
        {
            piece.Write(buffer, offset, count);
            if (piece.Length >= Most)
            {
                Flush();
            }
        }

        public override void Flush()
        {
            if (piece.Length == 0)
            {
                return;
            }
            var size = Encoding.ASCII.GetBytes(piece.Length.ToString("x", CultureInfo.InvariantCulture) + "\r\n");
            var chunk = new byte[size.Length + piece.Length + 2];
            Buffer.BlockCopy(size, 0, chunk, 0, size.Length);
            Buffer.BlockCopy(piece.GetBuffer(), 0, chunk, size.Length, (int)piece.Length);
            chunk[chunk.Length - 2] = (byte)'\r';
            chunk[chunk.Length - 1] = (byte)'\n';
            piece.SetLength(0);
            Send(socket, chunk);
        }

        public void End()
        {
            Flush();
            Send(socket, Encoding.ASCII.GetBytes("0\r\n\r\n"));
        }

        public static void Send(Socket socket, byte[] bytes)
        {
            try
            {
                for (var sent = 0; sent < bytes.Length;)
                {
                    sent += socket.Send(bytes, sent, bytes.Length - sent, SocketFlags.None);
                }
            }
            catch (Exception error) when (error is SocketException || error is ObjectDisposedException)
            {
                throw new ConnectionBroken(error.Message);
            }
        }
    }

    /// <summary>A stream that is only read, or only written, from its begin to its end.</summary>
    abstract class OneWay : Stream
    {
        public override bool CanRead => false;

        public override bool CanWrite => false;

        public override bool CanSeek => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count)
        {
            throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin)
        {
            throw new NotSupportedException();
        }

        public override void SetLength(long value)
        {
            throw new NotSupportedException();
        }
    }
}
