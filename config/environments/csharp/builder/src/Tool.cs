using System;
using System.Diagnostics;

namespace Muon.Build
{
    /// <summary>Runs a program with its words on stderr, where the errors of a build are looked for.</summary>
    static class Tool
    {
        /// <summary>The words are ours, or were looked at: none has a space or a quotation mark.</summary>
        public static void Run(string program, params string[] words)
        {
            var start = new ProcessStartInfo(program, string.Join(" ", words))
            {
                UseShellExecute = false,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using (var process = new Process { StartInfo = start })
            {
                process.OutputDataReceived += (_, line) => Say(line.Data);
                process.ErrorDataReceived += (_, line) => Say(line.Data);
                process.Start();
                process.BeginOutputReadLine();
                process.BeginErrorReadLine();
                process.WaitForExit();
                if (process.ExitCode != 0)
                {
                    throw new BuildFailure($"{program} failed: see the lines above");
                }
            }
        }

        static void Say(string line)
        {
            if (line != null)
            {
                Console.Error.WriteLine(line);
            }
        }
    }
}
