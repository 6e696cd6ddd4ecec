using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Muon.Build
{
    /// <summary>The source is at fault, or what it asks for cannot be had.</summary>
    sealed class BuildFailure : Exception
    {
        public BuildFailure(string message)
            : base(message)
        {
        }
    }

    /// <summary>The builder's command: C# in SRC_PKG, an assembly with the libraries it needs in DEPLOY_PKG.</summary>
    static class Program
    {
        /// <summary>What is not for the result: sources, what describes projects, and what these are made of.</summary>
        static readonly string[] Sources = { ".cs", ".dll", ".csproj", ".sln", ".props", ".targets" };

        static int Main(string[] arguments)
        {
            var source = Environment.GetEnvironmentVariable("SRC_PKG");
            var target = Environment.GetEnvironmentVariable("DEPLOY_PKG");
            if (string.IsNullOrEmpty(source) || string.IsNullOrEmpty(target) || arguments.Length != 2)
            {
                Console.Error.WriteLine(
                    "SRC_PKG and DEPLOY_PKG must name the source and the result; the arguments, the folders of the API and of packages");
                return 2;
            }
            var work = Path.Combine(Path.GetTempPath(), "csharp-build-" + Guid.NewGuid());
            try
            {
                Directory.CreateDirectory(work);
                Build(source, Path.GetFullPath(target), Path.GetFullPath(arguments[0]), new Packages(Path.GetFullPath(arguments[1]), work), work);
                return 0;
            }
            catch (BuildFailure failure)
            {
                Console.Error.WriteLine(failure.Message);
                return 1;
            }
            finally
            {
                Directory.Delete(work, true);
            }
        }

        static void Build(string source, string target, string api, Packages packages, string work)
        {
            // Errors name files as the author knows them: from the top of the source.
            Directory.SetCurrentDirectory(source);
            var files = Files(".").OrderBy(file => file, StringComparer.Ordinal).ToList();
            var code = files.Where(file => file.EndsWith(".cs", StringComparison.Ordinal)).ToList();
            if (code.Count == 0)
            {
                throw new BuildFailure("the source has no .cs file");
            }
            if (!files.Contains(Packages.List) && files.FirstOrDefault(AsksForPackages) is string project)
            {
                throw new BuildFailure($"{project}: MSBuild is not in this builder; name packages with their versions in {Packages.List}");
            }
            var library = Path.Combine(target, "lib");
            Directory.CreateDirectory(library);
            var libraries = files.Where(file => file.EndsWith(".dll", StringComparison.Ordinal)).ToList();
            if (files.Contains(Packages.List))
            {
                libraries.AddRange(packages.Fetch(Packages.List));
            }
            foreach (var file in libraries)
            {
                File.Copy(file, Path.Combine(library, Path.GetFileName(file)), true);
            }
            Compile(code, Directory.GetFiles(library, "*.dll"), target, api, work);
            foreach (var file in files.Where(file => !Sources.Contains(Path.GetExtension(file)) && file != Packages.List))
            {
                var place = Path.Combine(target, file);
                Directory.CreateDirectory(Path.GetDirectoryName(place));
                File.Copy(file, place, true);
            }
            if (libraries.Count == 0)
            {
                Directory.Delete(library);
            }
        }

        /// <summary>Every source file in one go, on everything of the framework that the runtime has too.</summary>
        static void Compile(IEnumerable<string> code, IEnumerable<string> libraries, string target, string api, string work)
        {
            var framework = Path.GetDirectoryName(typeof(object).Assembly.Location);
            var references = Directory.GetFiles(framework, "System*.dll").Concat(libraries).Concat(Directory.GetFiles(api, "*.dll"));
            var words = new List<string>
            {
                "-noconfig", "-target:library", "-debug", "-d:TRACE", "-utf8output", "-codepage:utf8",
                $"-out:{Quoted(Path.Combine(target, "function.dll"))}",
            };
            words.AddRange(references.OrderBy(file => file, StringComparer.Ordinal).Select(file => $"-r:{Quoted(file)}"));
            words.AddRange(code.Select(Quoted));
            var list = Path.Combine(work, "words");
            File.WriteAllLines(list, words);
            Tool.Run("mcs", "@" + list);
        }

        static string Quoted(string path)
        {
            if (path.Contains("\""))
            {
                throw new BuildFailure($"{path}: a file's name may not have a quotation mark");
            }
            return $"\"{path}\"";
        }

        static bool AsksForPackages(string file)
        {
            return file.EndsWith(".csproj", StringComparison.Ordinal) && File.ReadAllText(file).Contains("<PackageReference");
        }

        /// <summary>Plain files below a folder; links, what begins with a dot, and what a project leaves behind are not looked at.</summary>
        static IEnumerable<string> Files(string folder)
        {
            foreach (var entry in new DirectoryInfo(folder).GetFileSystemInfos())
            {
                var path = folder == "." ? entry.Name : Path.Combine(folder, entry.Name);
                if (entry.Name.StartsWith(".", StringComparison.Ordinal) || entry.Attributes.HasFlag(FileAttributes.ReparsePoint))
                {
                    continue;
                }
                if (!(entry is DirectoryInfo))
                {
                    yield return path;
                }
                else if (entry.Name != "bin" && entry.Name != "obj")
                {
                    foreach (var file in Files(path))
                    {
                        yield return file;
                    }
                }
            }
        }
    }
}
