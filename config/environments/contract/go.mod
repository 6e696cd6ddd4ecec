module muon.dev/contract

go 1.23
