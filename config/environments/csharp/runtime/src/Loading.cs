using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;

namespace Muon.Runtime
{
    /// <summary>The load contract: who may order a load, that a pod loads once, and that the same order twice is one load.</summary>
    sealed class Loading
    {
        const int OrderLimit = 1 << 20;

        readonly object one = new object();
        volatile Entry entry;
        string filepath;
        string entrypoint;

        public Entry Entry => entry;

        /// <summary>Does what is ordered, and returns how many milliseconds it took.</summary>
        public long Serve(Asked request, bool isLoopback)
        {
            if (!isLoopback)
            {
                throw new Failure(403, "NotLoopback", "a load is taken from this pod only");
            }
            if (request.RawPath == "/specialize")
            {
                return Load(Program.Setting("MUON_V1_FILE", "/userfunc/user"), "", new Dictionary<string, string>());
            }
            try
            {
                var order = Json.Read(Body(request)) as Dictionary<string, object> ?? throw new FormatException("the body is not a JSON object");
                var path = Text(order, "filepath");
                if (path.Length == 0)
                {
                    throw new FormatException("filepath must be the path of the unpacked package");
                }
                return Load(path, Text(order, "functionName"), Variables(order));
            }
            catch (FormatException invalid)
            {
                throw new Failure(400, "OrderInvalid", invalid.Message);
            }
        }

        static string Body(Asked request)
        {
            var whole = new MemoryStream();
            var buffer = new byte[8192];
            for (var count = 1; count > 0; whole.Write(buffer, 0, count))
            {
                count = request.Body.Read(buffer, 0, buffer.Length);
                if (whole.Length + count > OrderLimit)
                {
                    throw new FormatException("the body is too large");
                }
            }
            return Encoding.UTF8.GetString(whole.ToArray());
        }

        static string Text(Dictionary<string, object> order, string name)
        {
            return order.TryGetValue(name, out var value) && value != null ? Checked(value, name) : "";
        }

        static string Checked(object value, string name)
        {
            return value is string text && text.IndexOf('\0') < 0 ? text : throw new FormatException(name + " must be text");
        }

        static Dictionary<string, string> Variables(Dictionary<string, object> order)
        {
            if (!order.TryGetValue("env", out var given) || given == null)
            {
                return new Dictionary<string, string>();
            }
            var env = given as Dictionary<string, object> ?? throw new FormatException("env must map names to text");
            if (env.Keys.Any(name => name.Length == 0 || name.IndexOfAny(new[] { '=', '\0' }) >= 0))
            {
                throw new FormatException("env must map names to text");
            }
            return env.ToDictionary(pair => pair.Key, pair => Checked(pair.Value, "env"));
        }

        long Load(string path, string name, Dictionary<string, string> variables)
        {
            lock (one)
            {
                if (entry != null)
                {
                    return path == filepath && name == entrypoint
                        ? 0
                        : throw new Failure(400, "AlreadyLoaded", $"this pod is already loaded, with {entrypoint} of {filepath}");
                }
                var clock = Stopwatch.StartNew();
                var before = variables.Keys.ToDictionary(key => key, Environment.GetEnvironmentVariable);
                Set(variables);
                try
                {
                    entry = Finder.Find(path, name);
                }
                catch (Failure failure)
                {
                    Set(before);
                    Log.Runtime("ERROR", "load failed", ("error", failure.Message), ("entrypoint", name));
                    throw;
                }
                filepath = path;
                entrypoint = name;
                Log.Runtime("INFO", "loaded", ("entrypoint", name), ("milliseconds", clock.ElapsedMilliseconds));
                return clock.ElapsedMilliseconds;
            }
        }

        static void Set(Dictionary<string, string> variables)
        {
            foreach (var variable in variables)
            {
                if (variable.Value == null)
                {
                    Libc.RemoveVariable(variable.Key);
                }
                else
                {
                    Libc.SetVariable(variable.Key, variable.Value, 1);
                }
            }
        }
    }
}
