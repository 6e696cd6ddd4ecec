using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;

namespace Muon.Runtime
{
    /// <summary>One JSON object a line on stdout: records of ours, of System.Diagnostics.Trace, and whatever user code prints.</summary>
    static class Log
    {
        const int LongestLine = 64 << 10;
        const int Frames = 4;

        /// <summary>The request that is being answered, also in the tasks and threads that answering it started.</summary>
        public static readonly AsyncLocal<string> Request = new AsyncLocal<string>();

        static readonly Stream Out = Console.OpenStandardOutput();
        static readonly Encoding Utf8 = new UTF8Encoding(false);

        public static void Install()
        {
            Console.SetOut(new Lines("INFO"));
            Console.SetError(new Lines("ERROR"));
            Trace.Listeners.Clear();
            Trace.Listeners.Add(new FromTrace());
            Trace.AutoFlush = true;
        }

        public static void Runtime(string level, string message, params (string, object)[] more)
        {
            Emit(level, "runtime", message, more);
        }

        public static void Function(string level, string message, params (string, object)[] more)
        {
            Emit(level, "function", message, more);
        }

        static void Emit(string level, string target, string message, (string, object)[] more)
        {
            var now = DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
            var record = new List<KeyValuePair<string, object>>
            {
                Pair("timestamp", now), Pair("level", level), Pair("target", target), Pair("message", message),
            };
            if (Request.Value != null)
            {
                record.Add(Pair("requestId", Request.Value));
            }
            record.AddRange(more.Select(field => Pair(field.Item1, field.Item2)));
            WriteLine(Json.Write(record));
        }

        static KeyValuePair<string, object> Pair(string name, object value)
        {
            return new KeyValuePair<string, object>(name, value);
        }

        static void WriteLine(string text)
        {
            var bytes = Utf8.GetBytes(text + "\n");
            lock (Out)
            {
                Out.Write(bytes, 0, bytes.Length);
                Out.Flush();
            }
        }

        /// <summary>The error with its stack, without the frames of this runtime and below.</summary>
        public static string UserStack(Exception thrown)
        {
            var text = new StringBuilder();
            for (var one = thrown; one != null && text.Length < LongestLine; one = one.InnerException)
            {
                text.Append(one == thrown ? "" : "Caused by: ").Append(Brief(one)).Append('\n');
                UserFrames(one).ToList().ForEach(frame => text.Append(frame).Append('\n'));
            }
            return text.ToString();
        }

        /// <summary>What the author of a package reads when it fails to load: the innermost cause and where it is.</summary>
        public static string ShortStack(Exception thrown)
        {
            var cause = thrown;
            while (cause.InnerException != null)
            {
                cause = cause.InnerException;
            }
            return string.Join("\n", new[] { Brief(cause) }.Concat(UserFrames(cause).Take(Frames)));
        }

        public static string Brief(Exception thrown)
        {
            return $"{thrown.GetType().FullName}: {thrown.Message}";
        }

        static IEnumerable<string> UserFrames(Exception thrown)
        {
            var frames = (thrown.StackTrace ?? "").Split('\n').Select(frame => frame.TrimEnd('\r'));
            return frames
                .Where(frame => frame.Length > 0 && !frame.TrimStart().StartsWith("at (wrapper", StringComparison.Ordinal))
                .TakeWhile(frame => !frame.Contains("at Muon.Runtime.") && !frame.Contains("at System.Reflection."));
        }

        /// <summary>What is printed, cut into lines.</summary>
        sealed class Lines : TextWriter
        {
            readonly string level;
            readonly ThreadLocal<StringBuilder> begun = new ThreadLocal<StringBuilder>(() => new StringBuilder());

            public Lines(string level)
            {
                this.level = level;
            }

            public override Encoding Encoding => Utf8;

            public override void Write(char one)
            {
                var buffer = begun.Value;
                if (one != '\n')
                {
                    buffer.Append(one);
                }
                if (one == '\n' || buffer.Length >= LongestLine)
                {
                    Flush();
                }
            }

            public override void Flush()
            {
                var text = begun.Value.ToString().TrimEnd('\r');
                begun.Value.Clear();
                // A record already: whoever logs in a structure of their own keeps it.
                if (text.StartsWith("{", StringComparison.Ordinal) && text.EndsWith("}", StringComparison.Ordinal) && Json.IsObject(text))
                {
                    WriteLine(text);
                }
                else if (text.Length > 0)
                {
                    Function(level, text);
                }
            }
        }

        /// <summary>.NET's own way to log.</summary>
        sealed class FromTrace : TraceListener
        {
            public override void TraceEvent(TraceEventCache cache, string source, TraceEventType type, int id, string message)
            {
                switch (type)
                {
                    case TraceEventType.Critical:
                    case TraceEventType.Error:
                        Function("ERROR", message);
                        break;
                    case TraceEventType.Warning:
                        Function("WARNING", message);
                        break;
                    default:
                        Function(type == TraceEventType.Verbose ? "DEBUG" : "INFO", message);
                        break;
                }
            }

            public override void TraceEvent(TraceEventCache cache, string source, TraceEventType type, int id, string format, params object[] values)
            {
                TraceEvent(cache, source, type, id, values == null ? format : string.Format(CultureInfo.InvariantCulture, format, values));
            }

            public override void Write(string message)
            {
                Console.Write(message);
            }

            public override void WriteLine(string message)
            {
                Console.WriteLine(message);
            }
        }
    }
}
