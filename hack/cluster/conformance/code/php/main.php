<?php
function main($request)
{
    return $request->path === '/env' ? (string) getenv('PROBE') : "$request->method $request->path " . $request->body();
}
