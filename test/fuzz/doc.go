// Package fuzz throws bad input at everything that Berth serves: objects at
// the registry of every declared kind, and requests at a running API server.
// Its tests take the kinds from api.Kinds, so that a new kind is in without a
// line here; a valid object of it in testdata/seeds makes them dig deeper.
//
// A random run is part of the tests and prints its seed. To search longer:
//
//	go test ./test/fuzz -run TestRandom -seed 7 -for 10m
//	go test ./test/fuzz -run '^$' -fuzz FuzzObject
package fuzz
