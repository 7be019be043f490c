// Package cert reads and signs the certificates of the mesh, without a node
// and without a network: it is the only package that knows Nebula's certificate
// format, and compiles for browsers, too.
//
// A [Certificate] is a host's or an authority's. Which authority may take part
// is decided in package admit, what a party's authority signs in package ca.
package cert
