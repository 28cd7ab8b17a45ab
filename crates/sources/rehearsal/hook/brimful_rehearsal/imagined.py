def attach(torch, here):
    pass
