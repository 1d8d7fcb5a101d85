package docent_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
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

// Every package that a program can import tells in its doc.go what it is, and has an Example that is run: one that says
// what it prints.
func TestPackagesHaveExamples(t *testing.T) {
	n := 0
	for _, p := range packages(t) {
		dir := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if slices.Contains(strings.Split(dir, "/"), "internal") || within(dir, "examples") {
			continue
		}
		files, name, exports := parsed(t, dir, p.GoFiles), "", false
		for _, f := range files {
			name, exports = f.Name.Name, exports || ast.FileExports(f)
		}
		if name == "" || name == "main" || !exports {
			continue
		}
		n++
		if !slices.Contains(p.GoFiles, "doc.go") || parsed(t, dir, []string{"doc.go"})[0].Doc == nil {
			t.Errorf("package %s says in no doc.go what it is", p.ImportPath)
		}
		tests, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(doc.Examples(parsed(t, "", tests)...), func(e *doc.Example) bool { return e.Output != "" }) {
			t.Errorf("package %s has no Example with an output", p.ImportPath)
		}
	}
	if n < 12 {
		t.Errorf("only %d packages were found that programs can import", n)
	}
}

func parsed(t *testing.T, dir string, names []string) (files []*ast.File) {
	t.Helper()
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}
