using System;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Muon;

namespace Probe
{
    /// <summary>The function that the environment's tests call.</summary>
    public class Probe
    {
        readonly Meeting meeting = new Meeting(8);

        public object Handle(Request request)
        {
            switch (request.Path)
            {
                case "/hello":
                    return "hello\n";
                case "/request":
                    return Response.Json(string.Format(
                        "{{\"method\":\"{0}\",\"path\":\"{1}\",\"id\":\"{2}\",\"a\":\"{3}\",\"b\":\"{4}\",\"two\":\"{5}\",\"body\":\"{6}\"}}",
                        request.Method, request.Path, request.Param("id"), request.QueryValue("a"), request.QueryValue("b"),
                        request.Header("X-Two"), request.Text()));
                case "/made":
                    return Response.Of(201, "made").With("X-Made", "yes");
                case "/echo":
                    return Response.Stream(to => Echo(request.Body, to));
                case "/meet":
                    meeting.Join();
                    return "met";
                case "/fail":
                    return Deeper();
                case "/late":
                    return Response.Stream(to =>
                    {
                        to.Write(Encoding.UTF8.GetBytes("part"), 0, 4);
                        to.Flush();
                        Deeper();
                    });
                case "/env":
                    return Environment.GetEnvironmentVariable("GREETING") + "|" + File.ReadAllText("data.txt");
                case "/log":
                    Trace.TraceWarning("a line");
                    return null;
                case "/hold":
                    Console.WriteLine("begun");
                    return new StreamReader(Environment.GetEnvironmentVariable("GATE")).ReadToEnd();
                case "/never":
                    Console.WriteLine("begun");
                    Thread.Sleep(1000000);
                    return null;
                case "/invalid":
                    return 7;
                default:
                    return Response.Of(404, "no such route");
            }
        }

        static void Echo(Stream from, Stream to)
        {
            var buffer = new byte[4096];
            for (var count = from.Read(buffer, 0, buffer.Length); count > 0; count = from.Read(buffer, 0, buffer.Length))
            {
                var upper = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(buffer, 0, count).ToUpperInvariant());
                to.Write(upper, 0, upper.Length);
                to.Flush();
            }
        }

        static object Deeper()
        {
            throw new InvalidOperationException("lost");
        }

        /// <summary>A handler that awaits, and logs from where it goes on.</summary>
        public static async Task<string> Later(Request request)
        {
            await Task.Delay(1);
            Console.WriteLine("after a while");
            return "later";
        }

        public static async Task Nothing()
        {
            await Task.Yield();
        }

        public static string Wrong(int number)
        {
            return "no handler";
        }
    }

    /// <summary>A class that is a handler by its method's name.</summary>
    public class Whole
    {
        public string Handle()
        {
            return "whole";
        }
    }

    /// <summary>A class that cannot be loaded.</summary>
    public static class Broken
    {
        static readonly int Value = int.Parse("no number");

        public static string Handle()
        {
            return Value.ToString();
        }
    }
}
