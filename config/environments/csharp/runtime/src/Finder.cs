using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace Muon.Runtime
{
    /// <summary>From a package and an entrypoint to what is called: `Shop.Hello.Handle`, or a class with a method `Handle`.</summary>
    static class Finder
    {
        const int Told = 20;

        public static Entry Find(string filepath, string entrypoint)
        {
            if (!File.Exists(filepath) && !Directory.Exists(filepath))
            {
                throw new Failure(500, "PackageNotFound", "there is nothing at " + filepath);
            }
            var root = File.Exists(filepath) ? Path.GetDirectoryName(filepath) : filepath;
            Directory.SetCurrentDirectory(root);
            AppDomain.CurrentDomain.AssemblyResolve += (_, wanted) => Resolve(root, wanted.Name);
            try
            {
                return Find(Assemblies(filepath), filepath, entrypoint.Replace("::", "."));
            }
            catch (ReflectionTypeLoadException broken)
            {
                throw new Failure(500, "ImportFailed", Log.ShortStack(broken.LoaderExceptions.FirstOrDefault() ?? broken));
            }
            catch (Exception broken) when (!(broken is Failure))
            {
                throw new Failure(500, "ImportFailed", Log.ShortStack(broken));
            }
        }

        static List<Assembly> Assemblies(string filepath)
        {
            var files = File.Exists(filepath) ? new[] { filepath } : Directory.GetFiles(filepath, "*.dll");
            return files.OrderBy(file => file, StringComparer.Ordinal).Select(Assembly.LoadFrom).ToList();
        }

        /// <summary>What the package brings along lies at its top or in its folder lib.</summary>
        static Assembly Resolve(string root, string fullName)
        {
            var name = new AssemblyName(fullName).Name + ".dll";
            var places = new[] { Path.Combine(root, name), Path.Combine(root, "lib", name) };
            var found = places.FirstOrDefault(File.Exists);
            return found == null ? null : Assembly.LoadFrom(found);
        }

        static Entry Find(List<Assembly> assemblies, string filepath, string name)
        {
            if (name.Length == 0)
            {
                throw NotFound(assemblies, filepath, "an entrypoint is needed, as Shop.Hello.Handle");
            }
            var whole = TypeOf(assemblies, name);
            if (whole != null)
            {
                return OfMethod(whole, "Handle");
            }
            var dot = name.LastIndexOf('.');
            var owner = dot < 0 ? null : TypeOf(assemblies, name.Substring(0, dot));
            if (owner == null)
            {
                throw NotFound(assemblies, filepath, "the package has no class " + (dot < 0 ? name : name.Substring(0, dot)));
            }
            return OfMethod(owner, name.Substring(dot + 1));
        }

        static Type TypeOf(List<Assembly> assemblies, string name)
        {
            return assemblies.Select(assembly => assembly.GetType(name)).FirstOrDefault(type => type != null);
        }

        static Entry OfMethod(Type owner, string name)
        {
            var methods = owner.GetMethods().Where(method => method.DeclaringType != typeof(object)).ToList();
            var named = methods.Where(method => method.Name == name).ToList();
            var chosen = named.FirstOrDefault(Entry.Takes);
            if (chosen != null)
            {
                // What static code or the constructor throws is an error of the package, and told now.
                RuntimeHelpers.RunClassConstructor(owner.TypeHandle);
                return new Entry(chosen, chosen.IsStatic ? null : Activator.CreateInstance(owner));
            }
            if (named.Count > 0)
            {
                throw new Failure(500, "EntrypointInvalid", $"{owner.FullName}.{name} is no handler: it takes nothing, or a Muon.Request");
            }
            var others = methods.Select(method => $"{owner.FullName}.{method.Name}").Distinct().OrderBy(text => text, StringComparer.Ordinal);
            throw new Failure(500, "EntrypointNotFound", $"{owner.FullName} has no public method {name}; it has: {string.Join(", ", others)}");
        }

        static Failure NotFound(List<Assembly> assemblies, string filepath, string message)
        {
            var types = assemblies.SelectMany(assembly => assembly.GetExportedTypes()).Select(type => type.FullName)
                .OrderBy(text => text, StringComparer.Ordinal).Take(Told).ToList();
            if (types.Count > 0)
            {
                message += "; it has: " + string.Join(", ", types);
            }
            else if (Directory.Exists(filepath) && Directory.GetFiles(filepath, "*.cs").Length > 0)
            {
                message += " (is it source code? then its Package needs `build: {}`)";
            }
            return new Failure(500, "EntrypointNotFound", message);
        }
    }
}
