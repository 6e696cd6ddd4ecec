using System.Runtime.InteropServices;

namespace Muon.Runtime
{
    /// <summary>What the C library does better than what lies around it.</summary>
    static class Libc
    {
        /// <summary>Also sets an empty value, which .NET takes for the wish to remove the variable.</summary>
        [DllImport("libc", EntryPoint = "setenv")]
        public static extern int SetVariable(string name, string value, int replace);

        [DllImport("libc", EntryPoint = "unsetenv")]
        public static extern int RemoveVariable(string name);

        /// <summary>Ends the process at once: threads that are cut off are not asked.</summary>
        [DllImport("libc", EntryPoint = "_exit")]
        public static extern void Exit(int code);
    }
}
