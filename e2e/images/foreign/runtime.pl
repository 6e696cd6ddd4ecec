#!/usr/bin/perl
# A language runtime as somebody else might write it: one request at a time, no connection is kept open, no JSON library,
# no word to Muon. A function is a Perl file that ends in a sub: it is given method, path and body, and returns
# status and text.
use strict;
use warnings;
use IO::Socket::INET;
use POSIX ();

my ($V1_PORT, $V2_PORT) = (8881, 8882);
# So long after its start this runtime answers, and says that it is not well.
my $SLOW_START = 3;
my $STATE = '/userfunc/state.json';

my $function;

sub load_file {
    my ($file) = @_;
    # `do` caches nothing, and takes no relative path apart.
    my $loaded = do $file;
    return (500, "$file: " . ($@ || $!)) unless defined $loaded;
    return (500, "$file does not end in a sub") unless ref $loaded eq 'CODE';
    $function = $loaded;
    return (200, '');
}

sub v1 {
    my ($method, $path, $body) = @_;
    # Like several runtimes of the first days: no health, and what is not known is the function's.
    if ($path eq '/specialize' && $method eq 'POST') {
        return (400, 'Not a generic container') if $function;
        return load_file('/userfunc/user');
    }
    return (404, 'no such path') if $path eq '/v2/specialize';
    return (500, 'Generic container: no requests supported') unless $function;
    return call($method, $path, $body);
}

sub v2 {
    my ($method, $path, $body) = @_;
    if ($path eq '/healthz') {
        return time - $^T < $SLOW_START ? (503, 'starting') : (200, '');
    }
    if ($path eq '/v2/specialize' && $method eq 'POST') {
        return (400, 'Not a generic container') if $function;
        my ($place) = $body =~ /"filepath"\s*:\s*"([^"]+)"/ or return (400, 'no filepath');
        my ($name) = $body =~ /"functionName"\s*:\s*"([^"]*)"/;
        # Some remember beside the code what they were told.
        open my $state, '>', $STATE or return (500, "$STATE: $!");
        print $state $body;
        close $state;
        return load_file(-d $place ? "$place/$name" : $place);
    }
    return (500, 'Generic container: no requests supported') unless $function;
    return call($method, $path, $body);
}

sub call {
    my @answer = eval { $function->(@_) };
    return $@ ? (500, "the function died: $@") : @answer;
}

sub answer {
    my ($client, $contract) = @_;
    defined(my $head = <$client>) or return;
    my ($method, $path) = $head =~ m{^(\S+) (\S+) HTTP/1\.[01]\r?$} or return;
    my $length = 0;
    while (defined(my $line = <$client>)) {
        last if $line =~ /^\r?\n$/;
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
    }
    my $body = '';
    while (length $body < $length) {
        read($client, $body, $length - length $body, length $body) or last;
    }
    my ($status, $text) = $contract->($method, $path, $body);
    printf $client "HTTP/1.1 %d Foreign\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s",
        $status, length $text, $text;
}

sub serve {
    my ($port, $contract) = @_;
    my $server = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $port, Listen => 64, ReuseAddr => 1)
        or die "port $port: $!";
    while (my $client = $server->accept) {
        eval { answer($client, $contract) };
        close $client;
    }
}

$SIG{PIPE} = 'IGNORE';
my %contracts = ($V1_PORT => \&v1, $V2_PORT => \&v2);
for my $port (keys %contracts) {
    defined(my $child = fork) or die "fork: $!";
    next if $child;
    serve($port, $contracts{$port});
    exit 1;
}
# Signals to the first process of a container do nothing unless it asks for them.
$SIG{TERM} = sub { kill 'TERM', 0; POSIX::_exit(0) };
# When one of the two ends, all ends.
wait;
POSIX::_exit(1);
