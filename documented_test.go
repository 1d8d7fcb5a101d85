package docent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Every exported name says what it is: packages, types, functions, methods of exported types, constants and variables. A group
// may be documented as a whole, as the methods of an interface are by its own comment; a comment at a line's end counts.
// Error and String say it all.
func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		dir := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		documented := len(p.GoFiles) == 0 // tests alone
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			documented = documented || file.Doc != nil
			if file.Name.Name == "main" {
				continue
			}
			for _, d := range file.Decls {
				for _, id := range undocumented(d) {
					t.Errorf("%s: %s has no comment", fset.Position(id.Pos()), id.Name)
				}
			}
		}
		if !documented {
			t.Errorf("package %s has no comment", p.ImportPath)
		}
	}
}

// undocumented returns the exported names of a declaration that nothing is said about.
func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		said := d.Doc != nil || d.Recv != nil && (d.Name.Name == "Error" || d.Name.Name == "String")
		if !said && d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv.List[0].Type)) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var bare []*ast.Ident
		for _, s := range d.Specs {
			bare = append(bare, bareNames(s, d.Doc != nil)...)
		}
		return bare
	}
	return nil
}

func bareNames(spec ast.Spec, grouped bool) (bare []*ast.Ident) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		if grouped || s.Doc != nil || s.Comment != nil {
			return nil
		}
		for _, id := range s.Names {
			if id.IsExported() {
				bare = append(bare, id)
			}
		}
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		if !grouped && s.Doc == nil && s.Comment == nil {
			bare = append(bare, s.Name)
		}
	}
	return bare
}

func exportedReceiver(x ast.Expr) bool {
	for {
		switch t := x.(type) {
		case *ast.StarExpr:
			x = t.X
		case *ast.IndexExpr:
			x = t.X
		case *ast.IndexListExpr:
			x = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}
