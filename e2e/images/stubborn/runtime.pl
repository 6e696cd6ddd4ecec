#!/usr/bin/perl
# It answers 200 to everything, code or no code; takes a second load for the first; and does not end when it is told to.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{PIPE} = $SIG{TERM} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => 8888, Listen => 64, ReuseAddr => 1)
    or die "port 8888: $!";
while (my $client = $server->accept) {
    my $length = 0;
    while (defined(my $line = <$client>)) {
        last if $line =~ /^\r?\n$/;
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
    }
    read($client, my $body, $length) if $length;
    print $client "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nok\n";
    close $client;
}
