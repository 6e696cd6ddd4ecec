using System;
using Muon;

namespace Probe
{
    public static class Main
    {
        public static string Handle(Request request)
        {
            return request.Path == "/env"
                ? Environment.GetEnvironmentVariable("PROBE")
                : $"{request.Method} {request.Path} {request.Text()}";
        }
    }
}
