using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading;

namespace Muon.Runtime
{
    /// <summary>A thread for each connection; which request is ours and which the user's; and how many are being answered.</summary>
    sealed class Server
    {
        /// <summary>Far above any function's concurrency.</summary>
        const int Connections = 2048;

        readonly Socket listener;
        readonly Loading loading = new Loading();
        readonly object busy = new object();
        int connections;
        int requests;
        bool stopping;

        public Server(Socket listener)
        {
            this.listener = listener;
        }

        public void Accept()
        {
            while (true)
            {
                Socket socket;
                try
                {
                    socket = listener.Accept();
                }
                catch (SocketException)
                {
                    // Out of descriptors, most likely: some will be given back.
                    Thread.Sleep(10);
                    continue;
                }
                var taken = Change(() => connections < Connections && ++connections > 0);
                if (!taken)
                {
                    socket.Dispose(); // the caller sees a closed connection, and tries elsewhere
                    continue;
                }
                new Thread(() => Serve(socket)) { IsBackground = true, Name = "request" }.Start();
            }
        }

        T Change<T>(Func<T> what)
        {
            lock (busy)
            {
                var value = what();
                Monitor.PulseAll(busy);
                return value;
            }
        }

        void Serve(Socket socket)
        {
            try
            {
                socket.NoDelay = true;
                var peer = ((IPEndPoint)socket.RemoteEndPoint).Address;
                var isLoopback = IPAddress.IsLoopback(peer.IsIPv4MappedToIPv6 ? peer.MapToIPv4() : peer);
                var connection = new Connection(socket);
                for (var open = true; open && connection.WaitForNext();)
                {
                    Change(() => ++requests);
                    try
                    {
                        open = One(connection, isLoopback);
                    }
                    finally
                    {
                        Log.Request.Value = null;
                        open &= Change(() => --requests >= 0 && !stopping);
                    }
                }
            }
            catch (Exception broken) when (broken is IOException || broken is SocketException || broken is ObjectDisposedException)
            {
                // The caller is gone: there is nobody to tell.
            }
            finally
            {
                socket.Dispose();
                Change(() => --connections);
            }
        }

        bool One(Connection connection, bool isLoopback)
        {
            var request = connection.Read();
            if (request == null)
            {
                return false;
            }
            return connection.Answer(request, Answer(request, isLoopback), thrown => Failed(request, thrown, "the stream of the handler failed"));
        }

        Response Answer(Asked request, bool isLoopback)
        {
            if (request.RawPath == "/healthz" && (request.Method == "GET" || request.Method == "HEAD"))
            {
                return Response.Of(200, "ok\n");
            }
            if (request.Method == "POST" && (request.RawPath == "/v2/specialize" || request.RawPath == "/specialize"))
            {
                return Load(request, isLoopback);
            }
            var entry = loading.Entry;
            if (entry == null)
            {
                return Error(503, "runtime", "NotLoaded", "no function is loaded in this pod yet", request.GivenId, "no");
            }
            Log.Request.Value = request.RequestId;
            try
            {
                return entry.Call(request);
            }
            catch (ReplyInvalid invalid)
            {
                Log.Function("ERROR", "the reply of the handler cannot be sent", ("error", invalid.Message));
                return Error(500, "function", "ReplyInvalid", invalid.Message, request.RequestId, "yes");
            }
            catch (Exception thrown)
            {
                Failed(request, thrown, "the handler raised");
                return Error(500, "function", "Exception", Log.Brief(thrown), request.RequestId, "yes");
            }
            finally
            {
                Console.Out.Flush();
                Console.Error.Flush();
            }
        }

        static void Failed(Asked request, Exception thrown, string message)
        {
            if (thrown is ConnectionBroken)
            {
                throw thrown; // nobody is there to be answered
            }
            Log.Request.Value = request.RequestId;
            Log.Function("ERROR", message, ("error", Log.Brief(thrown)), ("traceback", Log.UserStack(thrown)));
        }

        Response Load(Asked request, bool isLoopback)
        {
            try
            {
                var milliseconds = loading.Serve(request, isLoopback);
                return Object(200, ("loaded", true), ("milliseconds", milliseconds));
            }
            catch (Failure failure)
            {
                return Error(failure.Status, "runtime", failure.Reason, failure.Message, request.GivenId, "no");
            }
        }

        /// <summary>An error that says whose it is and whether user code ran.</summary>
        static Response Error(int status, string component, string reason, string message, string id, string executed)
        {
            return Object(status, ("component", component), ("reason", reason), ("message", message), ("requestId", id), ("executed", executed));
        }

        static Response Object(int status, params (string, object)[] fields)
        {
            var pairs = Array.ConvertAll(fields, field => new KeyValuePair<string, object>(field.Item1, field.Item2));
            return Response.Json(Json.Write(pairs)).WithStatus(status);
        }

        /// <summary>Waits until nothing is being answered; false when that takes longer.</summary>
        public bool Finish(TimeSpan grace)
        {
            var clock = Stopwatch.StartNew();
            lock (busy)
            {
                stopping = true;
                while (requests > 0)
                {
                    var left = grace - clock.Elapsed;
                    if (left <= TimeSpan.Zero)
                    {
                        return false;
                    }
                    Monitor.Wait(busy, left);
                }
                return true;
            }
        }
    }
}
