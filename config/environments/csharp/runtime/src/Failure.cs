using System;

namespace Muon.Runtime
{
    /// <summary>A load that cannot be done, as its sender or the author of the package reads it.</summary>
    sealed class Failure : Exception
    {
        public Failure(int status, string reason, string message)
            : base(message)
        {
            Status = status;
            Reason = reason;
        }

        public int Status { get; }

        public string Reason { get; }
    }

    /// <summary>A handler returned something that cannot be sent.</summary>
    sealed class ReplyInvalid : Exception
    {
        public ReplyInvalid(string message)
            : base(message)
        {
        }
    }
}
