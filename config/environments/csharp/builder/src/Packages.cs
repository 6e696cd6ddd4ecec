using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Xml;

namespace Muon.Build
{
    /// <summary>NuGet's list of packages with their exact versions: from the image, or from where the registries' ConfigMap says.</summary>
    sealed class Packages
    {
        public const string List = "packages.config";

        /// <summary>Where a package lies: this, then `ID/VERSION/ID.VERSION.nupkg` in lower case, as in NuGet's flat containers.</summary>
        const string Address = "NUGET_PACKAGES_URL";

        const string LargestMiB = "100";

        static readonly Regex Plain = new Regex(@"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$");
        static readonly Regex PlainAddress = new Regex(@"^https?://[^\s""'\\]+$");

        /// <summary>What this framework can load, the best first.</summary>
        static readonly string[] Frameworks =
        {
            "net472", "net471", "net47", "net462", "net461", "net46", "net452", "net451", "net45", "net40", "net40-client", "net35", "net20",
        };

        readonly string own;
        readonly string work;

        public Packages(string own, string work)
        {
            this.own = own;
            this.work = work;
        }

        /// <summary>The assemblies of all packages of a list.</summary>
        public IEnumerable<string> Fetch(string list)
        {
            var document = new XmlDocument { XmlResolver = null };
            try
            {
                document.Load(list);
            }
            catch (XmlException invalid)
            {
                throw new BuildFailure($"{list}({invalid.LineNumber},{invalid.LinePosition}): {invalid.Message}");
            }
            foreach (XmlElement package in document.GetElementsByTagName("package"))
            {
                var id = package.GetAttribute("id");
                var version = package.GetAttribute("version");
                if (!Plain.IsMatch(id) || !Plain.IsMatch(version))
                {
                    throw new BuildFailure($"{list}: `{id}` `{version}`: a package has an id and an exact version");
                }
                foreach (var assembly in Assemblies(id, version))
                {
                    yield return assembly;
                }
            }
        }

        string[] Assemblies(string id, string version)
        {
            var (name, number) = (id.ToLowerInvariant(), version.ToLowerInvariant());
            var brought = Path.Combine(own, name, number);
            if (Directory.Exists(brought))
            {
                return Directory.GetFiles(brought, "*.dll");
            }
            var address = Environment.GetEnvironmentVariable(Address);
            if (string.IsNullOrEmpty(address))
            {
                throw new BuildFailure($"{List}: {id} {version} is not in this builder, and no {Address} in the Environment's registries says where it is");
            }
            if (!PlainAddress.IsMatch(address))
            {
                throw new BuildFailure($"{Address} is no http or https address");
            }
            var archive = Path.Combine(work, $"{name}.{number}.nupkg");
            var place = $"{address.TrimEnd('/')}/{name}/{number}/{name}.{number}.nupkg";
            Console.Error.WriteLine($"{id} {version}");
            Tool.Run("curl", "--fail", "--silent", "--show-error", "--location", "--max-time", "300", "--max-filesize", $"{LargestMiB}M", "--output", archive, place);
            var folder = Path.Combine(work, $"{name}.{number}");
            Tool.Run("unzip", "-q", archive, "lib/*", "-d", folder);
            var found = Frameworks.Select(framework => Path.Combine(folder, "lib", framework)).FirstOrDefault(Directory.Exists);
            if (found == null)
            {
                throw new BuildFailure($"{List}: {id} {version} has nothing for the .NET Framework, but {Told(Path.Combine(folder, "lib"))}");
            }
            return Directory.GetFiles(found, "*.dll");
        }

        static string Told(string folder)
        {
            var names = new DirectoryInfo(folder).GetDirectories().Select(each => each.Name).OrderBy(each => each, StringComparer.Ordinal);
            return string.Join(", ", names);
        }
    }
}
