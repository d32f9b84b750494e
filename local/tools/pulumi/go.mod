module facecraft/tools/pulumi

go 1.26.0
