// Package examples holds alliances that run: a folder each, with its objects
// and a script that anyone can read and repeat. The tests run every script with
// real processes, so what stands here works.
package examples
