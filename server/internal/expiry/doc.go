// Package expiry tells the leader which sessions are overdue. It is pure: time is passed in.
package expiry
