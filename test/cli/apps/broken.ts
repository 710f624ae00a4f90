/** What `--app` must refuse: a module that fails when it is imported. */
throw new Error('no settings\nin the environment');
