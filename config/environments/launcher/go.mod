module muon.dev/launcher

go 1.23
