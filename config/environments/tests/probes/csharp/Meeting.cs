using System.Threading;

namespace Probe
{
    /// <summary>Lets nobody go before all are there.</summary>
    sealed class Meeting
    {
        readonly CountdownEvent missing;

        public Meeting(int size)
        {
            missing = new CountdownEvent(size);
        }

        public void Join()
        {
            missing.Signal();
            missing.Wait();
        }
    }
}
