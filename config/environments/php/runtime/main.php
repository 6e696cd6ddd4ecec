<?php
// The PHP runtime of Muon. One process, the keeper, has the port and the connections; workers have the user's code.
//
// Keeper   connections, the load contract, which worker gets which request
// Worker   one process with the code loaded; one request at a time
// Loader   brings a package into a worker, or says why not
// Exchange one request and its reply on a connection
// Reply    from a handler's return value to status, headers and bytes
declare(strict_types=1);

namespace Muon\Runtime;

foreach (['Log', 'Pipes', 'Channel', 'LoadFailure', 'Loader', 'Request', 'Response', 'Reply', 'Exchange', 'Worker', 'Order', 'WorkerProcess', 'Keeper'] as $file) {
    require __DIR__ . "/src/$file.php";
}

(new Keeper(
    address: getenv('MUON_ADDRESS') ?: '',
    port: (int) (getenv('MUON_PORT') === false ? 8888 : getenv('MUON_PORT')),
    limit: max(1, (int) (getenv('MUON_CONCURRENCY') ?: 64)),
    grace: (float) (getenv('MUON_GRACE_SECONDS') ?: 25),
))->run();
