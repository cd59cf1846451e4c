// Package activities holds the retried steps of the workflows: one method a
// step, on a small struct that holds its dependencies. Data comes from a
// workflow's input, goes through pdns and the version store into PowerDNS, and
// what returns is names, versions and counts, never zone content.
//
// Every activity may run twice, late or at the same time as another one;
// each method's comment says why that is harmless. Nothing here retries what
// Temporal can retry.
package activities
