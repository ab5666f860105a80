// Package inspect answers everyday questions about image streams, with small pure functions: what is there
// to pull for a tag, and is it what people asked for.
package inspect
