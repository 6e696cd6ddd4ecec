sub {
    my ($method, $path, $body) = @_;
    return (200, $path eq '/env' ? $ENV{PROBE} // '' : "$method $path $body");
}
