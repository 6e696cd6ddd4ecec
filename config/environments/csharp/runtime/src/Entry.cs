using System;
using System.IO;
using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Threading.Tasks;

namespace Muon.Runtime
{
    /// <summary>The user's function, whatever form it has.</summary>
    sealed class Entry
    {
        readonly MethodInfo method;
        readonly object owner;
        readonly bool takesRequest;

        /// <summary>`owner` is null for a static method.</summary>
        public Entry(MethodInfo method, object owner)
        {
            this.method = method;
            this.owner = owner;
            takesRequest = method.GetParameters().Length == 1;
        }

        public static bool Takes(MethodInfo method)
        {
            var parameters = method.GetParameters();
            var fits = parameters.Length == 0 || (parameters.Length == 1 && parameters[0].ParameterType == typeof(Request));
            return fits && !method.IsGenericMethodDefinition;
        }

        public Response Call(Request request)
        {
            try
            {
                return ToResponse(Awaited(method.Invoke(owner, takesRequest ? new object[] { request } : null)));
            }
            catch (TargetInvocationException thrown)
            {
                ExceptionDispatchInfo.Capture(thrown.InnerException).Throw();
                throw;
            }
        }

        static object Awaited(object value)
        {
            if (!(value is Task task))
            {
                return value;
            }
            task.GetAwaiter().GetResult();
            var isVoid = task.GetType().IsGenericType && task.GetType().GetGenericArguments()[0].Name == "VoidTaskResult";
            return isVoid ? null : task.GetType().GetProperty("Result")?.GetValue(task);
        }

        static Response ToResponse(object value)
        {
            if (value == null)
            {
                return Response.Of(204, new byte[0]);
            }
            if (value is string text)
            {
                return Response.Of(200, text);
            }
            if (value is byte[] bytes)
            {
                return Response.Of(200, bytes);
            }
            if (value is Stream stream)
            {
                return Response.Stream(stream);
            }
            if (!(value is Response response))
            {
                throw new ReplyInvalid(
                    $"a {value.GetType().FullName} is not a reply: return a Muon.Response, text, bytes, a Stream or null");
            }
            if (response.Status < 200 || response.Status > 599)
            {
                throw new ReplyInvalid($"{response.Status} is not a status that a function can reply with (200 to 599)");
            }
            return response;
        }
    }
}
