module groundplane.invalid/probe

go 1.21
