// Package pages holds the programs of the pages in docs whose code stands nowhere else: its tests compile and run them.
package pages
