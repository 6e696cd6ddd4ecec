import os


def main(request):
    return os.environ.get("PROBE", "") if request.path == "/env" else f"{request.method} {request.path} {request.text}"
