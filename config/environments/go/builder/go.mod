module muon.dev/go-builder

go 1.23
