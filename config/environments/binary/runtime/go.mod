module muon.dev/binary

go 1.23

require muon.dev/contract v0.0.0

replace muon.dev/contract => ../../contract
