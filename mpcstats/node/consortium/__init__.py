"""The parties together: the roster, its versions, what each tells the others about itself."""
