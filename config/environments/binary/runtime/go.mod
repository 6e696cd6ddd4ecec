module muon.dev/binary

go 1.23
