# Moves one file with Perl's Net::FTP, plainly or with explicit or implicit TLS.
use strict;
use warnings;
use Net::FTP;

my ($host, $port, $mode, $direction, $remote, $local, $user, $password, $timeout,
    $security, $protection, $version, $authority) = @ARGV;

my $ftp = Net::FTP->new(
    $host,
    Port            => $port,
    Timeout         => $timeout,
    Passive         => $mode eq 'PASV' || $mode eq 'EPSV' ? 1 : 0,
    Debug           => 1,
    SSL             => $security eq 'implicit' ? 1 : 0,
    SSL_ca_file     => $authority,
    SSL_version     => $version eq '1.2' ? 'TLSv1_2' : 'TLSv1_3',
    SSL_verify_mode => 1,
) or die "no connection: $@";
if ($security eq 'explicit') {
    $ftp->starttls or die "no TLS: $IO::Socket::SSL::SSL_ERROR";
}
$ftp->login($user, $password) or die 'no login: ' . $ftp->message;
if ($security ne 'plain') {
    $ftp->prot($protection) or die 'no protection: ' . $ftp->message;
}
$ftp->binary or die 'no binary mode: ' . $ftp->message;
my $done = $direction eq 'download' ? $ftp->get($remote, $local) : $ftp->put($local, $remote);
die 'no transfer: ' . $ftp->message unless $done;
$ftp->quit;
