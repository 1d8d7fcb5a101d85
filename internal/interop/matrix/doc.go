// Package matrix is who gets along with whom: the tests of internal/interop record what passed, a line each, and the page
// docs/interop.md is made of that. What nobody recorded is an error, so that a page is whole.
package matrix
