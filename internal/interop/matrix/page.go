package matrix

import (
	_ "embed"
	"errors"
	"strconv"
	"strings"
)

// Its links are those of a page in docs, where it is written to.
//
//go:embed page.tmpl
var page string

// Page is docs/interop.md. An error names every cell that is empty. In a slice of the run, one member may stand for an
// ensemble.
func Page(records []Record, slice bool) (string, error) {
	byClient, problems := checks(records, slice)
	byRecipe, more := meetings(records)
	if problems = append(problems, more...); len(problems) > 0 {
		return "", errors.Join(problems...)
	}
	var numbers, recipes strings.Builder
	byClient.text(&numbers, "client", strconv.Itoa)
	byRecipe.text(&recipes, "recipe | one side | the other", func(int) string { return "both ways" })
	return strings.NewReplacer("CHECKS\n", numbers.String(), "RECIPES\n", recipes.String()).Replace(page), nil
}
