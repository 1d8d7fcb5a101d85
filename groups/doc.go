// Package groups tells who is here, and what they offer: plain membership, and discovery of services.
package groups
