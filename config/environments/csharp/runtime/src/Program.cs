using System;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Mono.Unix;
using Mono.Unix.Native;

namespace Muon.Runtime
{
    /// <summary>The process: its socket, and its end.</summary>
    static class Program
    {
        const int Backlog = 2048;
        /// <summary>So that tasks of several requests begin at once; more come when these are all taken.</summary>
        const int PoolThreads = 32;
        const int SignalMilliseconds = 1000;

        static void Main()
        {
            // Before anything else: the kernel does not deliver to the first process of a container what that does not handle.
            var signals = new[] { new UnixSignal(Signum.SIGTERM), new UnixSignal(Signum.SIGINT) };
            Log.Install();
            AppDomain.CurrentDomain.UnhandledException += (_, thrown) => ReportUnhandled(thrown.ExceptionObject as Exception);
            ThreadPool.SetMinThreads(PoolThreads, PoolThreads);
            var grace = double.Parse(Setting("MUON_GRACE_SECONDS", "25"), CultureInfo.InvariantCulture);
            var listener = Listen(Setting("MUON_ADDRESS", ""), int.Parse(Setting("MUON_PORT", "8888"), CultureInfo.InvariantCulture));
            var server = new Server(listener);
            new Thread(server.Accept) { IsBackground = true, Name = "accept" }.Start();
            Log.Runtime("INFO", "listening", ("port", ((IPEndPoint)listener.LocalEndPoint).Port));
            // A signal that came before this began to wait does not end the wait; it is seen after it.
            while (!signals.Any(signal => signal.IsSet))
            {
                UnixSignal.WaitAny(signals, SignalMilliseconds);
            }
            Log.Runtime("INFO", "stopping", ("graceSeconds", grace));
            if (server.Finish(TimeSpan.FromSeconds(grace)))
            {
                Log.Runtime("INFO", "stopped");
            }
            else
            {
                Log.Runtime("WARNING", "the grace period is over; what still runs is cut off");
            }
            Libc.Exit(0);
        }

        public static string Setting(string name, string otherwise)
        {
            var value = Environment.GetEnvironmentVariable(name);
            return string.IsNullOrEmpty(value) ? otherwise : value;
        }

        /// <summary>Without an address: on every one of the pod's, of either family.</summary>
        static Socket Listen(string address, int port)
        {
            var any = address.Length == 0 && Socket.OSSupportsIPv6;
            var place = any ? IPAddress.IPv6Any : address.Length == 0 ? IPAddress.Any : IPAddress.Parse(address);
            var listener = new Socket(place.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            if (any)
            {
                listener.DualMode = true;
            }
            listener.Bind(new IPEndPoint(place, port));
            listener.Listen(Backlog);
            return listener;
        }

        /// <summary>A thread of the user's own has failed: the process ends, and the log says why.</summary>
        static void ReportUnhandled(Exception thrown)
        {
            if (thrown != null)
            {
                Log.Function("ERROR", "a thread of the function failed", ("error", Log.Brief(thrown)), ("traceback", Log.UserStack(thrown)));
            }
        }
    }
}
