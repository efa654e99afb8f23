package initramfs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// edit replaces src[from:to].
type edit struct {
	from, to int
	text     string
}

// rewritten is a file of a command, made part of a package that can be imported.
type rewritten struct {
	src   []byte
	inits int  // init functions renamed so far, in this file and those before it
	flags bool // it used the global flag set
}

// globalFlags are the functions of package flag that act on its global flag set; its methods have the same names.
// Parse has other arguments and is treated apart.
var globalFlags = []string{
	"Arg", "Args", "Bool", "BoolFunc", "BoolVar", "Duration", "DurationVar", "Float64", "Float64Var", "Func", "Int", "Int64", "Int64Var",
	"IntVar", "Lookup", "NArg", "NFlag", "Parsed", "PrintDefaults", "Set", "String", "StringVar", "TextVar", "Uint", "Uint64", "Uint64Var", "UintVar",
	"Usage", "Var", "Visit", "VisitAll",
}

// rewrite turns a file of package main into one of package cmd: func main becomes huskMain, the n-th init huskInitN (from inits on),
// and the global flag set huskFlags.
func rewrite(name string, src []byte, inits int) (rewritten, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments)
	if err != nil {
		return rewritten{}, err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	out := rewritten{inits: inits}
	edits := []edit{{at(f.Name.Pos()), at(f.Name.End()), "cmd"}}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil {
			continue
		}
		switch fn.Name.Name {
		case "main":
			edits = append(edits, edit{at(fn.Name.Pos()), at(fn.Name.End()), "huskMain"})
		case "init":
			edits = append(edits, edit{at(fn.Name.Pos()), at(fn.Name.End()), "huskInit" + strconv.Itoa(out.inits)})
			out.inits++
		}
	}
	flagName, err := importName(f)
	if err != nil {
		return rewritten{}, fmt.Errorf("%s: %w", name, err)
	}
	if flagName != "" {
		more := flagEdits(f, flagName, at)
		out.flags = len(more) > 0
		edits = append(edits, more...)
	}
	out.src = apply(src, edits)
	if out.flags {
		out.src = fmt.Appendf(out.src, "\nvar _ = %s.ContinueOnError // keeps the import used\n", flagName)
	}
	return out, nil
}

// importName is the name under which a file imports package flag, or "". A replacement of it is more than rewrite knows.
func importName(f *ast.File) (string, error) {
	name := ""
	for _, imp := range f.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		switch {
		case err != nil:
			return "", err
		case p == "github.com/spf13/pflag":
			return "", fmt.Errorf("imports %s, whose global flags cannot be told apart", p)
		case p != "flag":
		case imp.Name != nil:
			name = imp.Name.Name
		default:
			name = "flag"
		}
	}
	if name == "." {
		return "", fmt.Errorf("imports package flag as \".\"")
	}
	return name, nil
}

// flagEdits replaces uses of the global flag set. The parser resolves identifiers within the file: one that means an import has no object.
func flagEdits(f *ast.File, name string, at func(token.Pos) int) []edit {
	var edits []edit
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		id, ok := sel.X.(*ast.Ident)
		if !ok || id.Name != name || id.Obj != nil {
			return true
		}
		switch {
		case sel.Sel.Name == "Parse":
			edits = append(edits, edit{at(sel.Pos()), at(sel.End()), "huskParse"})
		case sel.Sel.Name == "CommandLine":
			edits = append(edits, edit{at(sel.Pos()), at(sel.End()), "huskFlags"})
		case slices.Contains(globalFlags, sel.Sel.Name):
			edits = append(edits, edit{at(id.Pos()), at(id.End()), "huskFlags"})
		}
		return true
	})
	return edits
}

// apply makes edits, which do not overlap.
func apply(src []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return a.from - b.from })
	var out []byte
	done := 0
	for _, e := range edits {
		out = append(append(out, src[done:e.from]...), e.text...)
		done = e.to
	}
	return append(out, src[done:]...)
}

// glue is the file that a rewritten command gets besides its own: Main, and its flag set.
func glue(command string, inits int, flags bool) string {
	var b strings.Builder
	b.WriteString("package cmd\n\n")
	if flags {
		b.WriteString(flagGlue)
	}
	b.WriteString("// Main runs the command with os.Args.\nfunc Main() {\n")
	for i := range inits {
		fmt.Fprintf(&b, "\thuskInit%d()\n", i)
	}
	b.WriteString("\thuskMain()\n}\n")
	return strings.ReplaceAll(b.String(), "COMMAND", strconv.Quote(command))
}

const flagGlue = `import (
	"flag"
	"fmt"
	"os"
)

// huskFlags is what the flag package's global flag set would be, were the command alone in its program.
var huskFlags = huskNewFlags()

func huskNewFlags() *flag.FlagSet {
	fs := flag.NewFlagSet(COMMAND, flag.ExitOnError)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "Usage of %s:\n", COMMAND)
		fs.PrintDefaults()
	}
	return fs
}

func huskParse() { huskFlags.Parse(os.Args[1:]) }

`

// commandPaths reads the import paths of u-root's commands from the list file.
func commandPaths(name string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, imp := range f.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}
